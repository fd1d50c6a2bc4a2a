"""The stages of dvc.yaml. Each is a process of its own: ``python -m pipeline.<stage>``."""

import gc
import sys

# "-m" is what Python has there until it has found the stage; nobody else who imports these modules is meant.
# What a stage imports stays, and looking through it for garbage takes 0.5 s where torch is. `scripting.run` enables it.
if sys.argv[:1] == ["-m"]:
    gc.disable()
