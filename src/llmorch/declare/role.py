"""Whether this process only makes calls that another one has planned and checked.

A worker process imports the modules of the functions it calls, and with them their
declarations. What those say was checked where they were offered; here it would only take time.
"""

from __future__ import annotations

only_calls = False
