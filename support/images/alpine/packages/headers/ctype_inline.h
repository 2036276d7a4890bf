// Asks the C library for a character's classes where there is no table of them.
namespace std _GLIBCXX_VISIBILITY(default)
{
_GLIBCXX_BEGIN_NAMESPACE_VERSION

inline ctype_base::mask __classes(unsigned char __c)
{
  ctype_base::mask __found = 0;
  if (::isupper(__c)) __found |= ctype_base::upper;
  if (::islower(__c)) __found |= ctype_base::lower;
  if (::isalpha(__c)) __found |= ctype_base::alpha;
  if (::isdigit(__c)) __found |= ctype_base::digit;
  if (::isxdigit(__c)) __found |= ctype_base::xdigit;
  if (::isspace(__c)) __found |= ctype_base::space;
  if (::isprint(__c)) __found |= ctype_base::print;
  if (::iscntrl(__c)) __found |= ctype_base::cntrl;
  if (::ispunct(__c)) __found |= ctype_base::punct;
  if (::isblank(__c)) __found |= ctype_base::blank;
  return __found;
}

bool ctype<char>::is(mask __m, char __c) const
{
  const unsigned char __index = static_cast<unsigned char>(__c);
  return (_M_table ? _M_table[__index] : __classes(__index)) & __m;
}

const char* ctype<char>::is(const char* __low, const char* __high, mask* __vec) const
{
  for (; __low < __high; ++__low, ++__vec)
  {
    const unsigned char __index = static_cast<unsigned char>(*__low);
    *__vec = _M_table ? _M_table[__index] : __classes(__index);
  }
  return __high;
}

const char* ctype<char>::scan_is(mask __m, const char* __low, const char* __high) const
{
  while (__low < __high && !is(__m, *__low))
    ++__low;
  return __low;
}

const char* ctype<char>::scan_not(mask __m, const char* __low, const char* __high) const
{
  while (__low < __high && is(__m, *__low))
    ++__low;
  return __low;
}

_GLIBCXX_END_NAMESPACE_VERSION
}
