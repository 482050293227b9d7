"""Backups that only the holder of a key can read: files in the age format (age-encryption.org/v1).

The work is done by pyrage, the Python binding of rage: it streams, its output is what stock `age` reads, and keys stay
in this process, where a program would want them on its command line or in a file. It is an extra of the package, so it
is imported only where something is encrypted or decrypted.

    age -d -i key.txt mongodb.archive.gz.age | mongorestore --archive --gzip
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from opsconsole.backups.piping import Drawn, Fed, Sink
from opsconsole.backups.reading import Corrupt, FileReader, LimitReached, Meter, Reader, up_to
from opsconsole.model import Record, SourceError
from opsconsole.text import printable

SUFFIX = ".age"
MAGIC = b"age-encryption.org/v1\n"

_SECRET = "AGE-SECRET-KEY-"
_LARGEST_KEY_FILE = 1 << 20
_INSTALL = "Install it: pipx inject opsconsole pyrage (or pip install 'opsconsole[encryption]')."


class Recipients(Record, frozen=True):
    """Whom files are encrypted to, by their public keys; nobody when there are none."""

    keys: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.keys)

    @property
    def suffix(self) -> str:
        """What a file's name ends with."""
        return SUFFIX if self.keys else ""


NOBODY = Recipients()


class WrongKey(SourceError):
    """What is encrypted cannot be read with the keys at hand. Nothing was begun."""


class Keys:
    """The private keys of an identity file. They are never shown."""

    def __init__(self, identities: Sequence[object] = (), source: str = "") -> None:
        self._identities = tuple(identities)
        self.source = source

    def __bool__(self) -> bool:
        return bool(self._identities)

    def __repr__(self) -> str:
        return f"<{len(self._identities)} keys of {self.source}>"

    @property
    def identities(self) -> list[Any]:
        return list(self._identities)


NO_KEYS = Keys()


# --- keys ------------------------------------------------------------------------------------------


def recipients_of(texts: Sequence[str], where: str = "encrypt_to") -> Recipients:
    """Public keys as `encrypt_to` of the settings lists them: age1..., ssh-ed25519 ... or ssh-rsa .... Raises
    SourceError that names the entry, never its text: it may be a secret in the wrong place."""
    keys = []
    for number, text in enumerate(texts, 1):
        plain = " ".join(text.split()[:2])  # without the comment that an ssh key has
        if _SECRET.lower() in text.lower() or "PRIVATE KEY" in text:
            raise SourceError(
                f"entry {number} of {where} is a private key, and the public one belongs there",
                "Print it with: age-keygen -y FILE. Make a new pair if others could read this file.",
            )
        _recipient(plain, f"entry {number} of {where}")
        if plain not in keys:
            keys.append(plain)
    return Recipients(keys=tuple(keys))


def _recipient(key: str, what: str) -> Any:
    pyrage = _pyrage()
    try:
        if key.startswith("age1"):
            return pyrage.x25519.Recipient.from_str(key)
        if key.startswith("ssh-"):
            return pyrage.ssh.Recipient.from_str(key)
    except pyrage.RecipientError:
        reason = "is mistyped or cut short" if key.startswith("age1") else "is no ssh key that age can use"
    else:
        reason = "is no public key"
    raise SourceError(
        f"{what} {reason}", "It looks like age1..., ssh-ed25519 AAAA... or ssh-rsa AAAA...; see: age-keygen -y FILE"
    )


def keys_in(path: Path) -> Keys:
    """The keys of an identity file: what `age-keygen` wrote, or a private ssh key. Raises SourceError, without a word
    of what is in the file."""
    shown = printable(str(path))
    try:
        with FileReader(str(path.resolve(strict=True)), Meter(_LARGEST_KEY_FILE)) as reader:
            data = up_to(reader, _LARGEST_KEY_FILE + 1)
    except OSError as error:
        reason = error.strerror or "it is no regular file"
        raise SourceError(f"the identity file {shown} cannot be read: {reason}", f"ls -l {shown}") from None
    except LimitReached:
        raise SourceError(f"the identity file {shown} is too large to be one") from None
    if data.startswith((MAGIC, b"-----BEGIN AGE ENCRYPTED FILE-----")):
        raise SourceError(
            f"the identity file {shown} is protected by a passphrase, which nobody can be asked for here",
            "Decrypt it to a file that only you can read (age -d -o key.txt FILE), and remove that afterwards.",
        )
    identities = _ssh_identity(data, shown) if b"PRIVATE KEY-----" in data else _age_identities(data, shown)
    if not identities:
        raise SourceError(f"the identity file {shown} holds no private key", "Make a pair with: age-keygen -o key.txt")
    return Keys(identities, str(path))


def _age_identities(data: bytes, shown: str) -> list[Any]:
    pyrage = _pyrage()
    identities = []
    for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        try:
            identities.append(pyrage.x25519.Identity.from_str(text))
        except pyrage.IdentityError:
            raise SourceError(
                f"line {number} of the identity file {shown} is no private key of age",
                "It looks like AGE-SECRET-KEY-1...; plug-in and post-quantum keys are not read here.",
            ) from None
    return identities


def _ssh_identity(data: bytes, shown: str) -> list[Any]:
    pyrage = _pyrage()
    try:
        return [pyrage.ssh.Identity.from_buffer(data)]
    except pyrage.IdentityError as error:
        protected = "decrypted first" in str(error)
        raise SourceError(
            f"the identity file {shown} is protected by a passphrase, which nobody can be asked for here"
            if protected
            else f"the identity file {shown} is no private ssh key that age can use",
            "Use ssh-ed25519 or ssh-rsa, without a passphrase, or a key of age-keygen.",
        ) from None


def opens(path: Path, keys: Keys) -> bool:
    """Whether one of the keys opens an encrypted file: its header and its first 64 KiB are read and authentic.

    Raises OSError.
    """
    pyrage = _pyrage()
    with FileReader(str(path), Meter(1 << 62)) as reader:
        source = _Watched(reader)
        try:
            pyrage.decrypt_io(source, _FirstPiece(), keys.identities)
        except _Opened:
            return True
        except (pyrage.DecryptError, OSError):
            if source.error is not None:
                raise source.error from None
            return False
    return True


class _Opened(Exception):
    pass


class _FirstPiece:
    def write(self, data: bytes) -> int:
        raise _Opened

    def flush(self) -> None:
        """Nothing is kept."""


# --- streams ---------------------------------------------------------------------------------------


class Sealing:
    """Encrypts what is written, and hands it to `put`, in a thread of its own. Errors of `put` come out unchanged."""

    def __init__(self, put: Callable[[bytes], object], recipients: Recipients) -> None:
        known = [_recipient(key, "a public key") for key in recipients.keys]
        pyrage = _pyrage()
        sink = _Put(put)

        def work(source: Reader) -> None:
            try:
                pyrage.encrypt_io(source, sink, known)
            except Exception:
                if sink.error is not None:
                    raise sink.error from None
                raise

        self._fed: Fed[None] = Fed(work, "encrypt")

    def write(self, data: bytes) -> None:
        self._fed.write(data)

    def finish(self) -> None:
        self._fed.finish()

    def abandon(self) -> None:
        self._fed.abandon()


class _Put:
    def __init__(self, put: Callable[[bytes], object]) -> None:
        self._put = put
        self.error: BaseException | None = None

    def write(self, data: bytes) -> int:
        try:
            self._put(data)
        except BaseException as error:
            self.error = error
            raise
        return len(data)

    def flush(self) -> None:
        """The caller does it, at the end."""


class Unsealed:
    """Reads what is encrypted in `source`: only bytes that are proven to be what was encrypted ever come out.

    `read` raises Corrupt when the data is broken or ends too early, and WrongKey is raised where there is no key.
    """

    def __init__(self, source: Reader, keys: Keys) -> None:
        if not keys:
            raise WrongKey(
                "the backup is encrypted, and there is no key to read it with",
                "Set [backups] identity_file in opsconsole.toml to the file with the private key.",
            )
        pyrage = _pyrage()
        watched = _Watched(source)

        def work(sink: Sink) -> None:
            try:
                pyrage.decrypt_io(watched, sink, keys.identities)
            except (pyrage.DecryptError, OSError) as error:
                raise watched.error or _fault(str(error)) from None

        self._drawn = Drawn(work, "decrypt")

    def read(self, size: int) -> bytes:
        return self._drawn.read(size)

    def close(self) -> None:
        self._drawn.close()


class _Watched:
    """Remembers why a source could not be read: the library tells it in words of its own."""

    def __init__(self, source: Reader) -> None:
        self._source = source
        self.error: BaseException | None = None

    def read(self, size: int = -1) -> bytes:
        try:
            return self._source.read(size)
        except BaseException as error:
            self.error = error
            raise


def _fault(said: str) -> Corrupt:
    """rage's words (0.11) as ours."""
    if "truncated" in said or "Incomplete" in said or "fill whole buffer" in said:
        return Corrupt("is cut short in the middle of its encrypted data", cut=True)
    if "No matching keys" in said:
        return Corrupt("is not encrypted to the key at hand, or the beginning of it was changed")
    return Corrupt("has broken encrypted data")


def _pyrage() -> Any:
    try:
        import pyrage
    except ImportError:
        raise SourceError("encryption needs pyrage, which is not installed", _INSTALL) from None
    return pyrage
