"""What the server must keep to itself, and what is signed with it: links, sessions, forms."""

import hashlib
import hmac
import json
import secrets
from pathlib import Path
from typing import Annotated

from itsdangerous import BadSignature, Signer, URLSafeTimedSerializer
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from pellucid.errors import BadInput
from pellucid.files import read_json
from pellucid.naming import first_problem
from pellucid.study.key import write_secret

SERVER = "server.json"
SESSION_DAYS = 90


class Completion(BaseModel):
    """What comes after the last answer is stored: a code, and a link back in which ``{code}`` is filled in."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    code: Annotated[str, StringConstraints(max_length=100)] = ""
    url: Annotated[str, StringConstraints(pattern=r"^(https?://\S+)?$", max_length=500)] = ""

    @property
    def link(self) -> str:
        """The link back with the code in it; empty without one."""
        return self.url.replace("{code}", self.code)


class Session(BaseModel):
    """One browser: a random id, and whose session it is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    code: str | None = None


class Secrets(BaseModel):
    """The content of ``server.json``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    signing_secret: Annotated[str, StringConstraints(min_length=32)]
    admin_token: Annotated[str, StringConstraints(min_length=16)]
    completion: Completion = Completion()

    @property
    def open_token(self) -> str:
        """The unguessable part of the open link."""
        return self._digest("open link")[:32]

    def is_open_token(self, token: str) -> bool:
        """Compared in constant time."""
        return hmac.compare_digest(token.encode(), self.open_token.encode())

    def is_admin_token(self, token: str) -> bool:
        """Compared in constant time."""
        return hmac.compare_digest(token.strip().encode(), self.admin_token.encode())

    def personal_token(self, code: str) -> str:
        """The part of a personal link that names the participant and proves that the link was given out."""
        return self._personal().sign(code).decode()

    def code_of(self, token: str) -> str | None:
        """The participant of a personal link; None if nobody gave it out."""
        try:
            return self._personal().unsign(token.encode()).decode()
        except (BadSignature, UnicodeDecodeError):
            return None

    def sealed_session(self, session: Session, *, purpose: str) -> str:
        """A session as the value of a cookie."""
        return self._sessions(purpose).dumps(session.model_dump())

    def opened_session(self, cookie: str, *, purpose: str) -> Session | None:
        """The session in a cookie; None if it is not one of ours, or too old."""
        try:
            content = self._sessions(purpose).loads(cookie, max_age=SESSION_DAYS * 86400)
            return Session.model_validate(content)
        except (BadSignature, ValidationError):
            return None

    def form_token(self, session: Session) -> str:
        """What a form of this session must send along, so that no other site can send it."""
        return self._digest(f"form {session.id}")

    def is_form_token(self, session: Session, token: str) -> bool:
        """Compared in constant time."""
        return hmac.compare_digest(token.encode(), self.form_token(session).encode())

    def _digest(self, purpose: str) -> str:
        return hmac.new(self.signing_secret.encode(), purpose.encode(), hashlib.sha256).hexdigest()

    def _personal(self) -> Signer:
        return Signer(self.signing_secret, salt="personal link", sep=".", digest_method=hashlib.sha256)

    def _sessions(self, purpose: str) -> URLSafeTimedSerializer:
        # Another admin token ends all sessions that were opened with the old one.
        salt = f"session {purpose} {self._digest(self.admin_token) if purpose == 'admin' else ''}"
        return URLSafeTimedSerializer(self.signing_secret, salt=salt, signer_kwargs={"digest_method": hashlib.sha256})


def new_session(code: str | None = None) -> Session:
    """A session with a fresh id."""
    return Session(id=secrets.token_hex(16), code=code)


def server_secrets(folder: Path, *, code: str | None = None, url: str | None = None) -> Secrets:
    """The secrets of the study in `folder`, made when it is served first; `code` and `url` change what is handed out.

    Raises
    ------
    BadInput
        If server.json is damaged, or the completion's code or URL cannot be used.
    """
    path = folder / SERVER
    fresh = {"signing_secret": secrets.token_urlsafe(48), "admin_token": secrets.token_urlsafe(24)}
    raw = read_json(path) if path.exists() else fresh
    try:
        before = Secrets.model_validate(raw)
        given = {key: value for key, value in (("code", code), ("url", url)) if value is not None}
        now = Secrets.model_validate(raw | {"completion": before.completion.model_dump() | given})
    except (ValidationError, TypeError) as error:
        reason = first_problem(error) if isinstance(error, ValidationError) else "it holds no object"
        raise BadInput(f"{path}: {reason}") from error
    if not path.exists() or now != before:
        path.unlink(missing_ok=True)
        write_secret(path, json.dumps(now.model_dump(), indent=1) + "\n")
    return now
