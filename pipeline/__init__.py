"""The stages of dvc.yaml. Each is a process of its own: ``python -m pipeline.<stage>``."""

import gc
import sys

if sys.argv[:1] == [
    "-m"
]:  # as Python has it until it has found the stage; nobody else who imports these modules is meant
    gc.disable()  # until `scripting.run`: what a stage imports stays, and looking through it takes 0.5 s where torch is
