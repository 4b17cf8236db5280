"""The errors of mobile networks that carriers pass on, as causes.

SMPP's network_error_code (spec 5.3.2.31) has a network type and a number; for type 3, GSM, the
number is a MAP user error as 3GPP TS 29.002 §17.6.6 numbers it. What carriers write as `err:` has
no such source: a carrier's settings, or its profile, say what its numbers mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from shared.sms.causes import Cause

GSM: Final = 3
"""The network type of the MAP errors."""

MAP_ERRORS: Final[Mapping[int, Cause]] = {
    1: Cause.UNKNOWN_NUMBER,  # unknownSubscriber
    5: Cause.UNKNOWN_NUMBER,  # unidentifiedSubscriber
    6: Cause.UNREACHABLE,  # absentSubscriberSM
    8: Cause.ROAMING,  # roamingNotAllowed
    9: Cause.BARRED,  # illegalSubscriber
    10: Cause.BARRED,  # bearerServiceNotProvisioned
    11: Cause.BARRED,  # teleserviceNotProvisioned
    12: Cause.BARRED,  # illegalEquipment
    13: Cause.BARRED,  # callBarred
    15: Cause.BARRED,  # cug-Reject
    21: Cause.BARRED,  # facilityNotSupported
    27: Cause.UNREACHABLE,  # absentSubscriber
    28: Cause.UNFIT_PHONE,  # incompatibleTerminal
    31: Cause.UNREACHABLE,  # subscriberBusyForMT-SMS
    32: Cause.UNFIT_PHONE,  # sm-DeliveryFailure
    33: Cause.UNREACHABLE,  # messageWaitingListFull
    34: Cause.NETWORK,  # systemFailure
    35: Cause.NETWORK,  # dataMissing
    36: Cause.NETWORK,  # unexpectedDataValue
}
