"""Reads webhooks of WhatsApp as a library that others wrote reads them: pywa, from PyPI.

Its only argument is the secret that they are signed with. Each line of the input is a signature, a tab, and the body as it was
posted; each line of the output says what pywa takes that for. It ends at the first one that pywa does not understand, or whose
signature pywa does not accept.
"""

import sys

from pywa import WhatsApp
from pywa.types import RawUpdate
from pywa.utils import webhook_updates_validator

secret = sys.argv[1]
client = WhatsApp(phone_id="1122334455667", token="token", filter_updates=False)

for line in sys.stdin:
    signature, body = line.rstrip("\n").split("\t", 1)
    raw = RawUpdate(body.encode(), hmac_header=signature, update_hash="")
    assert webhook_updates_validator(app_secret=secret, request_body=raw.raw, x_hub_signature=signature), f"signature of {body}"
    handler = client._get_handler_type(raw)
    assert handler is not None, f"no kind for {body}"
    update = client._handlers_to_updates[handler].from_update(client=client, update=raw)
    words = [type(update).__name__]
    for name in ("type", "status", "text", "title", "caption", "emoji", "data"):
        value = getattr(update, name, None)
        if isinstance(value, str) and value:
            words.append(f"{name}={value}")
    sender = getattr(update, "from_user", None)
    if sender is not None:
        words.append(f"from={sender.name or ''}/{sender.wa_id or ''}/{getattr(sender, 'bsuid', None) or getattr(sender, 'user_id', None) or ''}")
    print(" ".join(words))
