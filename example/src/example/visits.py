"""A counter, which Redis keeps."""

from redis import Redis

from example.settings import Settings


def count() -> int:
    """Count a visit, and return how many there were."""
    with Redis.from_url(str(Settings().redis_url)) as client:
        return int(client.incr("visits"))
