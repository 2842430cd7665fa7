"""Seeded mutation of files: cut off, bits flipped, lying headers, pieces put elsewhere; for `hostile.py`."""

import random
import zlib


def mutated(data: bytes, chance: random.Random, others: list[bytes]) -> bytes:
    """Cut off, bits flipped, numbers of the header changed, pieces put elsewhere: one of these."""
    if len(data) < 2:
        return data + chance.randbytes(8)
    return chance.choice((cut, flipped, lying, spliced))(bytearray(data), chance, others)


def cut(data: bytearray, chance: random.Random, _: list[bytes]) -> bytes:
    """Only its beginning, or without a piece."""
    begin, end = sorted(chance.randrange(len(data)) for _ in range(2))
    return bytes(data[:begin] if chance.random() < 0.5 else data[:begin] + data[end:])


def flipped(data: bytearray, chance: random.Random, _: list[bytes]) -> bytes:
    """Some bits."""
    for _bit in range(chance.randrange(1, 20)):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(data)


def lying(data: bytearray, chance: random.Random, _: list[bytes]) -> bytes:
    """Numbers of 1, 2 or 4 bytes in the first 200 bytes, most of them at the ends of their ranges."""
    for _number in range(chance.randrange(1, 4)):
        size = chance.choice((1, 2, 4))
        place = chance.randrange(max(1, min(200, len(data) - size)))
        value = chance.choice((0, 1, 2 ** (8 * size) - 1, 2 ** (8 * size - 1), chance.randrange(2 ** (8 * size)), 4000))
        data[place : place + size] = (value % 2 ** (8 * size)).to_bytes(size, chance.choice(("big", "little")))
    return with_checksums(bytes(data)) if chance.random() < 0.7 else bytes(data)


def spliced(data: bytearray, chance: random.Random, others: list[bytes]) -> bytes:
    """A piece of it or of another file, put in or written over."""
    source = bytes(data) if chance.random() < 0.5 else chance.choice(others)
    begin = chance.randrange(max(1, len(source)))
    piece = source[begin : begin + chance.randrange(1, 5000)]
    place = chance.randrange(len(data))
    data[place : place + chance.choice((0, len(piece)))] = piece
    return bytes(data)


def with_checksums(data: bytes) -> bytes:
    """A PNG file with the CRC of each chunk put right, so that what its headers say is believed."""
    if not data.startswith(b"\x89PNG"):
        return data
    told, place = bytearray(data), 8
    while place + 12 <= len(told):
        length = int.from_bytes(told[place : place + 4], "big")
        end = place + 8 + length
        if end + 4 > len(told):
            break
        told[end : end + 4] = zlib.crc32(told[place + 4 : end]).to_bytes(4, "big")
        place = end + 4
    return bytes(told)
