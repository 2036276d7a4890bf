"""Parse XML and transform it, in an encoding for which the C library loads a module by name."""

from lxml import etree

TEXT = '<?xml version="1.0" encoding="GB18030"?><a><b>\u6c49\u5b57</b></a>'
STYLE = (
    '<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">'
    '<xsl:template match="/"><c><xsl:value-of select="a/b"/></c></xsl:template>'
    "</xsl:stylesheet>"
)

root = etree.fromstring(TEXT.encode("gb18030"))
result = etree.XSLT(etree.fromstring(STYLE))(root)
print(ascii(root[0].text), ascii(result.getroot().text))
