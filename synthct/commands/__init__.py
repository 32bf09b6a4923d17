"""The commands: the only place that parses arguments, reads the environment or prints. One thin file a command."""

import os
import signal
import sys

# A command that is still being loaded ends at Ctrl-C without the traceback that Python would show. Not so where this
# package is imported by another program; "-m" is all that python -m shows at this moment.
if sys.argv and (sys.argv[0] == "-m" or os.path.basename(sys.argv[0]).partition("_")[0] == "synthct"):
    signal.signal(signal.SIGINT, signal.SIG_DFL)
