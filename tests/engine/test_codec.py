"""Payloads: the limit, compression, encryption, and what a hand on the records can not do."""

from __future__ import annotations

from base64 import b64decode, b64encode
from hashlib import blake2b
from random import Random
from typing import Any

import pytest

from resonate_faas import Context, DecodingError, EncodingError, Never, Resonate
from resonate_faas._engine.codec import COMPRESS_FROM_BYTES, ENCODING_HEADER, Codec
from resonate_faas._machine.ids import PAYLOAD_BYTES_MAX
from resonate_faas._machine.objects import EMPTY, PromiseObject, PromiseState, Value
from resonate_faas._worker import Ended
from resonate_faas.testing._deployment import MemoryDeployment


class Toy:
    """Encrypts with a keyed stream and a fresh nonce: twice the same text gives two ciphertexts. Not for use."""

    def __init__(self, key: bytes = b"key") -> None:
        self.key = key
        self.count = 0

    def encrypt(self, plaintext: bytes) -> bytes:
        self.count += 1
        nonce = self.count.to_bytes(8, "big")
        sealed = self._mixed(plaintext, nonce)
        return nonce + blake2b(sealed, key=self.key, digest_size=8).digest() + sealed

    def decrypt(self, ciphertext: bytes) -> bytes:
        nonce, mac, sealed = ciphertext[:8], ciphertext[8:16], ciphertext[16:]
        if blake2b(sealed, key=self.key, digest_size=8).digest() != mac:
            raise ValueError("wrong key or damaged ciphertext")
        return self._mixed(sealed, nonce)

    def _mixed(self, text: bytes, nonce: bytes) -> bytes:
        stream = Random(self.key + nonce).randbytes(len(text))
        return bytes(a ^ b for a, b in zip(text, stream, strict=True))


def incompressible(size: int) -> str:
    """Return ASCII text that compression does not shrink below the limit."""
    return b64encode(Random(1).randbytes(size)).decode()[:size]


def encoded_size(text: str) -> int:
    """Return how many bytes a text takes uncompressed: quoted JSON in base64."""
    return (len(text) + 2 + 2) // 3 * 4


def test_a_payload_may_have_exactly_the_limit_and_not_a_byte_more() -> None:
    codec = Codec(encryptor=_Plain())
    largest = PAYLOAD_BYTES_MAX // 4 * 3
    assert len(codec.pack(Random(1).randbytes(largest), "x").data or "") == PAYLOAD_BYTES_MAX
    with pytest.raises(EncodingError, match="300004 bytes encoded, the limit is 300000"):
        codec.pack(Random(1).randbytes(largest + 1), "x")


class _Plain:
    def encrypt(self, plaintext: bytes) -> bytes:
        return plaintext

    def decrypt(self, ciphertext: bytes) -> bytes:
        return ciphertext


@pytest.mark.parametrize("how", ["run", "rpc", "workflow"])
def test_a_result_over_the_limit_rejects_the_step_and_the_workflow_goes_on(how: str) -> None:
    resonate = Resonate()
    huge = incompressible(400_000)
    runs: list[int] = []

    @resonate.register
    def leaf() -> str:
        runs.append(1)
        return huge

    async def child(ctx: Context) -> str:
        await ctx.sleep(0)
        runs.append(1)
        return huge

    @resonate.register
    async def flow(ctx: Context) -> str:
        call = ctx.run(leaf) if how == "run" else ctx.rpc(leaf) if how == "rpc" else ctx.run(child)
        try:
            await call
        except EncodingError as error:
            text = str(error)
        await ctx.sleep(60)
        return text

    deployment = MemoryDeployment(resonate)
    text = deployment.run("flow")
    assert "bytes encoded, the limit is 300000; store it elsewhere and pass a reference" in text
    assert ("leaf" if how != "workflow" else "child") in text
    assert len(runs) == (1 if how != "workflow" else len(runs))


def test_a_root_whose_result_is_over_the_limit_is_rejected() -> None:
    resonate = Resonate()

    @resonate.register
    async def flow(_ctx: Context) -> str:
        return incompressible(400_000)

    deployment = MemoryDeployment(resonate)
    with pytest.raises(EncodingError, match="the result of flow"):
        deployment.run("flow")
    assert deployment.ended[0] is Ended.DONE


def test_an_argument_over_the_limit_is_an_error_at_the_call_and_nothing_is_recorded() -> None:
    resonate = Resonate()

    @resonate.register
    def leaf(text: str) -> int:
        return len(text)

    @resonate.register
    async def flow(ctx: Context) -> str:
        try:
            ctx.rpc(leaf, incompressible(400_000))
        except EncodingError as error:
            return str(error)
        return "accepted"

    deployment = MemoryDeployment(resonate)
    assert "the arguments of leaf can't be recorded" in deployment.run("flow")
    assert deployment.client.get("root:1r") is None


@pytest.mark.parametrize("size", [COMPRESS_FROM_BYTES - 3, COMPRESS_FROM_BYTES, 5_000_000])
def test_a_large_result_is_compressed_and_nobody_sees_it(size: int) -> None:
    resonate = Resonate()
    seen: list[int] = []

    @resonate.register
    async def flow(ctx: Context) -> None:
        seen.append(len(await ctx.run(lambda: "a" * size)))
        await ctx.sleep(60)

    deployment = MemoryDeployment(resonate)
    deployment.run("flow")
    found = deployment.client.get("root:1")
    assert found is not None
    assert seen == [size, size]
    assert (ENCODING_HEADER in found.promise.value.headers) is (size + 2 > COMPRESS_FROM_BYTES)


def test_what_compression_would_enlarge_stays_as_it_is() -> None:
    noise = Random(1).randbytes(COMPRESS_FROM_BYTES + 1)
    packed = Codec().pack(noise, "x")
    assert packed.headers == {}
    assert b64decode(packed.data or "") == noise


@pytest.mark.parametrize(
    "value",
    [
        Value(data="not base64!"),
        Value(data=b64encode(b"{broken").decode()),
        Value(data=b64encode(b"not zlib").decode(), headers={ENCODING_HEADER: "zlib"}),
        Value(data=b64encode(b'"a"').decode() + "\n"),
    ],
    ids=["base64", "json", "zlib", "foreign character"],
)
def test_a_damaged_payload_is_a_decoding_error_that_names_its_promise(value: Value) -> None:
    with pytest.raises(DecodingError, match="the record of root:7"):
        Codec().decode(value, Any, "root:7")


def test_no_data_and_null_are_both_none() -> None:
    codec = Codec()
    assert codec.encode(None, Any, "x") == EMPTY
    assert codec.decode(EMPTY, Any, "x") is None
    assert codec.decode(Value(data=""), int | None, "x") is None
    assert codec.decode(Value(data=b64encode(b"null").decode()), Any, "x") is None
    with pytest.raises(DecodingError):
        codec.decode(EMPTY, int, "x")


def encrypted(key: bytes = b"key") -> tuple[Resonate, list[Any], list[Any]]:
    """Return an encrypted deployment's code, what its steps ran with and what its workflow saw."""
    resonate = Resonate(encryptor=Toy(key))
    ran: list[Any] = []
    seen: list[Any] = []

    def step(secret: str) -> dict[str, str]:
        ran.append(secret)
        return {"answer": secret * 2}

    def troubled() -> None:
        raise ValueError("secret trouble")

    @resonate.register
    def remote(secret: str) -> str:
        ran.append(secret)
        return secret.upper()

    @resonate.register
    async def flow(ctx: Context, secret: str) -> list[Any]:
        found: list[Any] = [await ctx.run(step, secret), await ctx.rpc(remote, secret)]
        try:
            await ctx.options(retry=Never()).run(troubled)
        except ValueError as error:
            found.append(str(error))
        await ctx.sleep(60)
        found += await ctx.map(remote, [secret, "b"], remote=True)
        seen.append(found)
        await ctx.detached(remote, secret)
        await ctx.sleep(60)
        return found

    return resonate, ran, seen


def test_an_encryptor_of_ever_new_ciphertexts_replays_without_divergence_and_leaks_nothing() -> None:
    resonate, ran, seen = encrypted()
    deployment = MemoryDeployment(resonate)
    expected = [{"answer": "s3cret" * 2}, "S3CRET", "secret trouble", "S3CRET", "B"]
    assert deployment.run("flow", "s3cret") == expected
    assert seen == [expected, expected]
    assert sorted(ran) == ["b", "s3cret", "s3cret", "s3cret", "s3cret"]
    for found in deployment.store.search("promise", limit=1_000):
        assert isinstance(found, PromiseObject)
        for payload in (found.promise.param, found.promise.value):
            plain = b64decode(payload.data or "").lower()
            assert b"s3cret" not in plain
            assert b"secret trouble" not in plain


def test_a_call_with_another_argument_diverges_under_encryption_too() -> None:
    resonate = Resonate(encryptor=Toy())
    words = iter(["first", "second", "second", "second"])

    @resonate.register
    def remote(word: str) -> str:
        return word

    @resonate.register
    async def flow(ctx: Context) -> None:
        await ctx.rpc(remote, next(words, "later"))

    deployment = MemoryDeployment(resonate)
    deployment.start("flow")
    deployment.settle(until_ms=deployment.clock.now_ms() + 1_000)
    found = deployment.client.get("root")
    assert found is not None
    assert found.promise.state is PromiseState.PENDING
    assert "was recorded as rpc remote" in (found.reason or "")


def test_without_the_key_a_root_is_not_run_and_its_reason_says_so() -> None:
    resonate, ran, _ = encrypted()
    deployment = MemoryDeployment(resonate)
    deployment.start("flow", "s3cret")
    other, ran_elsewhere, _ = encrypted(b"another")
    elsewhere = MemoryDeployment(
        other, store=deployment.store, clock=deployment.clock, queue=deployment.queue
    )
    for message in deployment.queue.pop_due(deployment.clock.now_ms()):
        elsewhere.node.deliver(message)
    found = deployment.client.get("root")
    assert found is not None
    assert "wrong key or damaged ciphertext" in (found.reason or "")
    assert not ran
    assert not ran_elsewhere
