"""Reads policies and applies them."""

import sys
from types import ModuleType

# `import cel` brings its own command line along, and with it a terminal's editor and colours: a tenth of a second of
# every process that reads a policy, for what none of them runs.
sys.modules.setdefault("cel.cli", ModuleType("cel.cli"))
