"""Settings of the server: https://jupyter-server.readthedocs.io/en/latest/other/full-config.html"""

import os
import shutil

# Within the container; what reaches it from outside is up to whoever publishes the port. A token
# protects it, a new one at each start, or the one in JUPYTER_TOKEN.
c.ServerApp.ip = "*"
c.ServerApp.port = int(os.environ.get("PORT", "8888"))
c.ServerApp.port_retries = 0
c.ServerApp.open_browser = False
# A rootless engine maps its root to you.
c.ServerApp.allow_root = True
# The image is complete: there is neither pip nor a place to install into.
c.LabApp.extension_manager = "readonly"
# Terminals are Python's, unless a shell is declared.
if not shutil.which("sh"):
    c.ServerApp.terminado_settings = {"shell_command": ["python3"]}
