"""Pre-flight checks of a model and its data: what would spoil the numbers, why, and the one-line mend.

>>> from pellucid.doctor import examine
>>> for finding in examine(model, (x_train, y_train), (x_test, y_test), eps=8 / 255):
...     print(finding.status, finding.check, finding.finding)
"""

from pellucid.doctor.engine import examine
from pellucid.doctor.findings import Finding

__all__ = ["Finding", "examine"]
