"""Import each of the modules that the first argument lists; print those that cannot be."""

import importlib
import json
import os
import sys
from contextlib import redirect_stderr, redirect_stdout

failed = []
# Some print, and some end the process.
with (
    open(os.devnull, "w", encoding="utf-8") as nowhere,
    redirect_stdout(nowhere),
    redirect_stderr(nowhere),
):
    for module in json.loads(sys.argv[1]):
        try:
            importlib.import_module(module)
        except BaseException:
            failed.append(module)
print(json.dumps(failed))
