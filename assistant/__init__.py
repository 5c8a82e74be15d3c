"""An assistant to wear: the part that decides. Start reading in converse.py."""

import os

# ONNX Runtime's official Linux builds send events and a device's identity to their maker, from the
# moment of their import (its Privacy.md). Nothing leaves this device unasked: this is read first,
# by every process of ours and its children. The second name is an earlier one of the same.
os.environ["ORT_DISABLE_TELEMETRY"] = os.environ["ORT_TELEMETRY_DISABLED"] = "1"
