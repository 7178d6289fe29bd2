"""The page behind a link: says what pressing the button will do, and does nothing by itself."""

from __future__ import annotations

import secrets
from html import escape
from string import Template
from typing import Final

from pydantic_core import from_json

from resonate_faas._http.messages import HttpResponse, html_response
from resonate_faas._http_errors import InvalidFieldError

VALUE_CHARS_MAX: Final = 2_000

_VERBS: Final = {"resolve": "Resolve", "reject": "Reject", "cancel": "Cancel"}

_PAGE: Final = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>$verb $id</title>
<style nonce="$nonce">
body { font: 16px/1.5 system-ui, sans-serif; max-width: 34rem; margin: 15vh auto; padding: 0 1rem; }
code { overflow-wrap: anywhere; }
button { font: inherit; padding: .5rem 1.5rem; cursor: pointer; }
</style>
</head>
<body>
<h1>$verb this promise?</h1>
<p><code>$id</code></p>
$with_value
<p><button id="go" type="button" data-body="$body">$verb</button></p>
<p id="told" role="status"></p>
<noscript><p>This page needs JavaScript: nothing happens before the button is pressed.</p></noscript>
<script nonce="$nonce">
const button = document.getElementById("go"), told = document.getElementById("told");
button.addEventListener("click", async () => {
  button.disabled = true;
  try {
    const answer = await fetch(location.href, {
      method: "POST", headers: { "content-type": "application/json" }, body: button.dataset.body,
    });
    const found = await answer.json();
    told.textContent = answer.ok ? "It is " + found.state + "." : found.detail;
    button.disabled = answer.ok || answer.status < 500;
  } catch (error) {
    told.textContent = "The server did not answer; try again.";
    button.disabled = false;
  }
});
</script>
</body>
</html>
""")


def confirmation(action: str, promise_id: str, value: str | None) -> HttpResponse:
    """Return the page.

    Args:
        action: resolve, reject or cancel.
        promise_id: shown, escaped.
        value: JSON to settle with, from the link's query; None: none.

    Raises:
        InvalidFieldError: the value is not JSON, or longer than 2,000 characters.
    """
    body, with_value = "{}", ""
    if value is not None:
        if len(value) > VALUE_CHARS_MAX or not _is_json(value):
            raise InvalidFieldError("value", f"it must be JSON of at most {VALUE_CHARS_MAX} characters")
        body = f'{{"value": {value}}}'
        with_value = f"<p>with the value <code>{escape(value)}</code></p>"
    nonce = secrets.token_urlsafe(16)
    page = _PAGE.substitute(
        verb=_VERBS[action],
        id=escape(promise_id),
        nonce=nonce,
        body=escape(body),
        with_value=with_value,
    )
    policy = (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return html_response(page, headers={"content-security-policy": policy, "referrer-policy": "no-referrer"})


def _is_json(text: str) -> bool:
    try:
        from_json(text, allow_inf_nan=False)
    except ValueError:
        return False
    return True
