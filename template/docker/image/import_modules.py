"""Import every module of a project's own package, where it will run.

    python3 -P -c "$(cat docker/image/import_modules.py)" NAME EXCEPTIONS

In: the name of the distribution, and as JSON the modules that are left out, with all below them, or
that may be absent, each with the reason. What functions import is looked at, too: no test sees that
it is missing, beside the packages that only the tests have. The exit status is 1 if anything is.
"""

import ast
import faulthandler
import importlib
import importlib.util
import json
import os
import re
import signal
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.metadata import Distribution, EntryPoint, distribution
from pathlib import Path
from types import FrameType
from typing import NoReturn

# A module that is not imported by then waits for something, as a program does.
MOST_SECONDS = 60
# Who asks for this imports what another system or another Python has, or what may be absent.
CONDITION = re.compile(r"\b(TYPE_CHECKING|find_spec|os\.name|platform|version_info)\b")
PREPARED = re.compile(r"\b((Base)?Exception|ImportError|ModuleNotFoundError)\b")
EXCEPT_IT = "or name the module in not-imported of [tool.seedpod.test], with a reason"


def modules(project: Distribution) -> dict[str, Path]:
    """Return the modules that a distribution has recorded, by their names."""
    found = {}
    for file in project.files or ():
        suffix = next((x for x in (".py", *EXTENSION_SUFFIXES) if file.name.endswith(x)), None)
        # A folder that is no package by its name has templates, for example.
        if suffix and all(part.isidentifier() for part in file.parent.parts):
            parts = [*file.parent.parts, file.name.removesuffix(suffix)]
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found[name] = Path(str(file.locate()))
    return dict(sorted(found.items()))


def is_within(name: str, packages: Iterable[str]) -> bool:
    """Tell whether a module, or a package that it is in, is one of these."""
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def load(name: str, path: Path, entries: tuple[EntryPoint, ...]) -> None:
    """Import a module; of a program that is no entry point, import only what that imports."""
    if name.rpartition(".")[2] != "__main__" or any(entry.module == name for entry in entries):
        importlib.import_module(name)
        return
    tree = ast.parse(path.read_bytes())
    tree.body = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    names = {"__name__": name, "__package__": name.rpartition(".")[0]}
    exec(compile(tree, str(path), "exec"), names)


def missing(name: str, module: Path) -> Iterator[tuple[str, int]]:
    """Yield what a module imports that is not there, without being prepared for that.

    Out: the names of modules, each with the number of the line.
    """
    package = name if module.name == "__init__.py" else name.rpartition(".")[0]
    waiting: list[ast.AST] = [ast.parse(module.read_bytes())]
    while waiting:
        node = waiting.pop()
        if is_prepared(node):
            continue
        waiting += ast.iter_child_nodes(node)
        match node:
            case ast.Import(names=aliases):
                names = [alias.name for alias in aliases]
            case ast.ImportFrom(module=text, level=level) if level <= package.count(".") + bool(
                package
            ):
                relative = f"{'.' * level}{text or ''}"
                names = [importlib.util.resolve_name(relative, package)]
            case _:
                continue
        yield from ((x, node.lineno) for x in names if not _is_there(x))


def _is_there(name: str) -> bool:
    try:
        return name in sys.modules or importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False
    except Exception:  # A package on the way has a fault of its own.
        return True


def is_prepared(node: ast.AST) -> bool:
    """Tell whether what a statement imports may be absent."""
    match node:
        case ast.If(test=test):
            return CONDITION.search(_text(test)) is not None
        case ast.Try(handlers=handlers):
            caught = [x.type and _text(x.type) for x in handlers]
            return any(not text or PREPARED.search(text) for text in caught)
        case ast.With(items=items):
            managers = ", ".join(map(_text, items))
            return "suppress" in managers and PREPARED.search(managers) is not None
    return False


def _text(node: ast.AST) -> str:
    """Return the text of an expression; none of one that is nested too deep."""
    try:
        return ast.unparse(node)
    except RecursionError:
        return ""


def explain(name: str, error: BaseException, own: Mapping[str, Path]) -> str:
    """Return in words why a module cannot be imported, and what to do about it."""
    trace = error.__traceback__
    # The innermost module of the project is the one to correct.
    while trace:
        here = trace.tb_frame.f_globals.get("__name__", "")
        name = here if here in own else name
        trace = trace.tb_next
    remedy = "Correct what it does when it is imported"
    if isinstance(error, ModuleNotFoundError):
        remedy = "Add what has that module to the dependencies; development's do not ship"
    elif isinstance(error, (ImportError, OSError)) and re.search(r"\blib\w|\.so\b", str(error)):
        remedy = "Declare the system package of that library in [tool.sys]"
    told = " ".join(f"{type(error).__name__}: {error}".split())
    return f"{name} cannot be imported in production ({told}). {remedy}, {EXCEPT_IT}."


def problems(project: Distribution, exceptions: Mapping[str, str]) -> Iterator[str]:
    """Yield in words what cannot be imported, and what to do about it."""
    own, entries = modules(project), tuple(project.entry_points)
    unused = {name for name in exceptions if not any(is_within(x, [name]) for x in own)}
    wanted = {name: path for name, path in own.items() if not is_within(name, exceptions)}
    failed = attempt(wanted, entries)
    # A framework like Django has its modules imported after the one that sets it up.
    failed = attempt({name: wanted[name] for name in failed}, entries)
    for name, path in wanted.items():
        if name in failed:
            yield explain(name, failed[name], own)
        elif path.suffix == ".py":
            for absent, line in missing(name, path):
                if is_within(absent, exceptions):
                    unused -= {x for x in exceptions if is_within(absent, [x])}
                    continue
                yield (
                    f"{name} imports {absent} in line {line}, which production does not have. "
                    f"Add what has it to the dependencies, {EXCEPT_IT}."
                )
    for name in sorted(unused):
        yield f"The project neither has nor imports {name}. Remove it from [tool.seedpod.test]."
    for entry in entries:
        if entry.module not in failed and not is_within(entry.module, exceptions):
            try:
                entry.load()
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                yield f"The entry point {entry.name} is wrong: {error}. Correct pyproject.toml."


def attempt(
    modules: Mapping[str, Path], entries: tuple[EntryPoint, ...]
) -> dict[str, BaseException]:
    """Import modules and return the errors of those that cannot be imported, by their names."""
    failed: dict[str, BaseException] = {}
    for name, path in modules.items():
        signal.alarm(MOST_SECONDS)
        try:
            load(name, path, entries)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            # A library that ctypes loads may have the name of a module.
            if "does not define module export function" not in str(error):
                failed[name] = error
        signal.alarm(0)
    return failed


def late(number: int, frame: FrameType | None) -> NoReturn:
    """End an import that waits."""
    raise TimeoutError(f"not done after {MOST_SECONDS} seconds")


def main() -> None:
    """Import the modules of the distribution that the first argument names."""
    name, exceptions = sys.argv[1], json.loads(sys.argv[2])
    sys.argv = [name]
    signal.signal(signal.SIGALRM, late)
    # A crash of the interpreter names the module, too.
    faulthandler.enable()
    for module, reason in exceptions.items():
        print(f"Not imported: {module} ({reason})")
    found = list(dict.fromkeys(problems(distribution(name), exceptions)))
    for problem in found:
        print(problem, file=sys.stderr)
    if not found:
        print(f"Production can import all modules of {name}.")
    # What a module has started in the background is not waited for.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1 if found else 0)


if __name__ == "__main__":
    main()
