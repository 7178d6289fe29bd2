"""Who may do what on AWS: what IAM has let in, everything; everybody else, what a bearer token gives."""

from __future__ import annotations

from typing import Final

from resonate_faas._http import HttpRequest, Right
from resonate_faas._http_errors import AccessDeniedError

_REFUSED: Final = frozenset({Right.DEBUG})


class VerifiedAccess:
    """For requests whose caller AWS itself has authenticated and whose policy allows to call this function."""

    def check(self, request: HttpRequest, right: Right) -> None:
        """See :class:`resonate_faas._http.Access`."""
        del request
        if right in _REFUSED:
            raise AccessDeniedError(403, f"the right {right.value!r} is given to nobody on Lambda")
