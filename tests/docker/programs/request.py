"""Print what is answered to a request: METHOD ADDRESS."""

import sys
import urllib.request

method, address = sys.argv[1:]
with urllib.request.urlopen(urllib.request.Request(address, method=method), timeout=30) as response:
    print(response.read().decode())
