"""MPEG-4 pictures that are not coded ("the same again"): ISO/IEC 14496-2, as DivX, Xvid and cameras write them."""

import re
from dataclasses import dataclass
from typing import Self

_VOL = re.compile(rb"\x00\x00\x01[\x20-\x2f]")
_VOP = b"\x00\x00\x01\xb6"
# DivX's "packed bitstream": a packet with two pictures is followed by one that is not coded, a placeholder.
_PACKED = re.compile(rb"DivX\d+(?:Build|b)\d+p")
_EXTENDED_ASPECT = 15
_VBV_BITS = 79
_LONGEST_BYTES = 32  # such a picture consists of its header only


@dataclass
class NotCoded:
    """Recognises such packets of one stream, once its headers were read."""

    time_bits: int | None = None  # of vop_time_increment; None: no header was read yet
    is_packed: bool = False

    @classmethod
    def of(cls, extradata: bytes | None) -> Self:
        """Begin with the headers that the container has."""
        found = cls()
        found._learn(extradata or b"")
        return found

    def __call__(self, data: memoryview) -> bool:
        """Whether the decoder gives no picture for this packet."""
        if self.time_bits is None:
            self._learn(bytes(data))
        if len(data) > _LONGEST_BYTES or self.time_bits is None or self.is_packed:
            return False
        start = bytes(data).find(_VOP)
        if start < 0:
            return False
        bits = _Bits(bytes(data), start + len(_VOP))
        bits.take(2)  # vop_coding_type
        while bits.take(1):  # modulo_time_base
            pass
        bits.take(1 + self.time_bits + 1)
        return not bits.is_at_end and not bits.take(1)  # vop_coded

    def _learn(self, headers: bytes) -> None:
        self.is_packed |= _PACKED.search(headers) is not None
        layer = _VOL.search(headers)
        if layer is None:
            return
        bits = _Bits(headers, layer.end())
        bits.take(1 + 8)  # random_accessible_vol, video_object_type_indication
        if bits.take(1):
            bits.take(4 + 3)  # video_object_layer_verid, priority
        if bits.take(4) == _EXTENDED_ASPECT:
            bits.take(8 + 8)
        if bits.take(1):  # vol_control_parameters
            bits.take(2 + 1)
            if bits.take(1):
                bits.take(_VBV_BITS)
        bits.take(2 + 1)  # video_object_layer_shape, a marker
        resolution = bits.take(16)
        self.time_bits = max((resolution - 1).bit_length(), 1)


class _Bits:
    """Bits of a header, the highest of each byte first; zeros after its end."""

    def __init__(self, data: bytes, position: int) -> None:
        self._data, self._at = data, 8 * position

    @property
    def is_at_end(self) -> bool:
        return self._at >= 8 * len(self._data)

    def take(self, n: int) -> int:
        value = 0
        for at in range(self._at, self._at + n):
            bit = 0 if at >= 8 * len(self._data) else self._data[at // 8] >> (7 - at % 8) & 1
            value = value << 1 | bit
        self._at += n
        return value
