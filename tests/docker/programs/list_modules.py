"""Print the modules of the standard library that are there as bytecode or as a shared library."""

import json
import os
import sysconfig

stdlib = sysconfig.get_path("stdlib")
modules = {name.split(".")[0] for name in os.listdir(os.path.join(stdlib, "lib-dynload"))}
for folder, _, files in os.walk(stdlib):
    package = os.path.relpath(folder, stdlib).replace("/", ".").removeprefix(".")
    names = (name.removesuffix(".pyc") for name in files if name.endswith(".pyc"))
    modules |= {f"{package}.{name}".strip(".").removesuffix(".__init__") for name in names}
print(json.dumps(sorted(modules)))
