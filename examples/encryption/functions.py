"""The functions of the end-to-end encryption: chatbot and aes.

The video and everything that aes writes lie in .llmorch/ next to this file, which git
ignores. The video is made by the first call that needs it, and used again after that.
"""

from __future__ import annotations

import hashlib
import math
import os
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from llmorch import function

if TYPE_CHECKING:
    from collections.abc import Iterator

STORED = Path(__file__).resolve().parent
FOLDER = STORED / ".llmorch"
VIDEO = "myvideo.mp4"
VIDEO_MIB = 384
BLOCK = 1 << 20
SAMPLE = 4 * BLOCK
SALT, NONCE, TAG = 16, 12, 16
SCRYPT = {"n": 1 << 16, "r": 8, "p": 1}  # 64 MiB of memory for each guess at a key


@function(asks_model=True, pure=True)
def chatbot(prompt: str) -> str:
    """Ask a language model for an answer or a completion towards a prompt.

    Args:
        prompt: What to do, with the results it needs, as in {s1}.
    """
    return f"{prompt}\n\nUse at most 80 words."


@function(kind="compute", timeout=300)
def aes(action: Literal["encrypt", "decrypt"], file: str, key: str) -> dict[str, Any]:
    """Encrypt or decrypt a file by AES and obtain the statistics.

    Args:
        action: "encrypt" writes FILE.aes; "decrypt" reads FILE.aes back and writes decrypted_FILE.
        file: The name of the file, such as "myvideo.mp4".
        key: The key, any text.
    """
    if not key.strip():
        raise ValueError("the key is empty")
    source = _source(file)
    target = FOLDER / (f"{file}.aes" if action == "encrypt" else f"decrypted_{file.removesuffix('.aes')}")
    begin = time.perf_counter()
    with source.open("rb") as content:
        _write(target, _encrypted(content, key) if action == "encrypt" else _decrypted(content, key, file))
    seconds = time.perf_counter() - begin
    before, after = source.stat().st_size, target.stat().st_size
    return {
        "action": action,
        "output": target.name,
        "bytes_before": before,
        "bytes_after": after,
        "ratio": round(after / before, 4) if before else None,
        "seconds": round(seconds, 3),
        "megabytes_per_second": float(f"{before / 1e6 / seconds:.3g}"),
        "entropy_before_bits_per_byte": round(_entropy(source), 3),
        "entropy_after_bits_per_byte": round(_entropy(target), 3),
    }


def _source(file: str) -> Path:
    """The file of this name, among those written before it and those stored; the video is made if need be."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    if file != Path(file).name:
        raise ValueError(f"{file}: give the name of a file, without a folder")
    if file == VIDEO:
        return _video()
    for folder in (FOLDER, STORED):
        if (folder / file).is_file():
            return folder / file
    encrypted = sorted(path.name for path in FOLDER.glob("*.aes"))
    raise FileNotFoundError(
        f"{file}: there is no such file; there are {', '.join([VIDEO, 'chat.txt', *encrypted])}"
    )


def _write(target: Path, blocks: Iterator[bytes]) -> None:
    """Write a file that appears when it is complete: nobody finds half of one, or a forged one."""
    with tempfile.NamedTemporaryFile(dir=FOLDER, delete=False) as written:
        try:
            for block in blocks:
                written.write(block)
            written.close()
            Path(written.name).replace(target)
        finally:
            Path(written.name).unlink(missing_ok=True)


def _cipher_key(key: str, salt: bytes) -> bytes:
    # A chatbot wraps a key in spaces and newlines now and then; what it wrote counts.
    return hashlib.scrypt(key.strip().encode(), salt=salt, maxmem=1 << 27, dklen=32, **SCRYPT)


def _encrypted(plain: Any, key: str) -> Iterator[bytes]:
    """Salt, nonce, then AES-256 in Galois/counter mode, then its tag; block by block."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    salt, nonce = os.urandom(SALT), os.urandom(NONCE)
    encryptor = Cipher(algorithms.AES256(_cipher_key(key, salt)), modes.GCM(nonce)).encryptor()
    yield salt + nonce
    while block := plain.read(BLOCK):
        yield encryptor.update(block)
    yield encryptor.finalize() + encryptor.tag


def _decrypted(secret: Any, key: str, file: str) -> Iterator[bytes]:
    """The reverse; raises at the end when the key is another one or a byte was changed."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    left = os.fstat(secret.fileno()).st_size - SALT - NONCE - TAG
    if left < 0:
        raise ValueError(f"{file}: too short for a file that aes encrypted")
    salt, nonce = secret.read(SALT), secret.read(NONCE)
    decryptor = Cipher(algorithms.AES256(_cipher_key(key, salt)), modes.GCM(nonce)).decryptor()
    while left:
        block = secret.read(min(BLOCK, left))
        left -= len(block)
        yield decryptor.update(block)
    try:
        yield decryptor.finalize_with_tag(secret.read(TAG))
    except InvalidTag:
        raise ValueError(f"{file}: not encrypted with this key, or changed since") from None


def _start(path: Path, size: int) -> bytes:
    with path.open("rb") as opened:
        return opened.read(size)


def _entropy(path: Path) -> float:
    """Shannon entropy of a sample, from 0 to 8 bits a byte; encrypted content comes close to 8."""
    sample = _start(path, SAMPLE)
    return -sum(count / len(sample) * math.log2(count / len(sample)) for count in Counter(sample).values())


def _video() -> Path:
    """The video, made if it isn't there; two calls may make it at the same time, and both make the same."""
    path = FOLDER / VIDEO
    if not path.is_file() or path.stat().st_size != VIDEO_MIB * BLOCK:
        _write(path, _frames(VIDEO_MIB))
    return path


def _frames(count: int) -> Iterator[bytes]:
    """An MP4 box around raw grey frames of 1 MiB: a striped pattern that slowly brightens."""
    header = b"\0\0\0\x14ftypisom\0\0\2\0isom" + (count * BLOCK - 20).to_bytes(4, "big") + b"mdat"
    row = bytes(range(32, 224)) + bytes(range(224, 32, -1))
    frame = b"".join(row[line % 97 :] + row[: line % 97] for line in range(BLOCK // len(row) + 1))[:BLOCK]
    for number in range(count):
        brighter = frame.translate(bytes((level + number) % 256 for level in range(256)))
        yield brighter if number else header + brighter[len(header) :]
