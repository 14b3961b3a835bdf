"""The V2 protocol over gRPC in front of a unit that stands alone: every call is the unit's own."""

from graphc.engine.calls import CallClient, Incoming
from graphc.seldon.unit import SeldonUnit


class PassedCalls:
    """Has a unit answer calls, byte for byte."""

    def __init__(self, unit: SeldonUnit, client: CallClient) -> None:
        self._unit, self._client = unit, client

    @property
    def unpacks(self) -> bool:
        """Say that clients may compress."""
        return True

    async def answer(self, method: str, message: bytes, incoming: Incoming) -> bytes:
        """Answer a call; raises EndedCallError with the unit's own code and details."""
        return await self._client.call(self._unit, method, message, incoming)
