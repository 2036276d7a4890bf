"""Settings, each from a variable that begins with EXAMPLE_."""

from pydantic import PostgresDsn, RedisDsn
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Where the services are; the defaults are services on this machine."""

    model_config = SettingsConfigDict(env_prefix="EXAMPLE_")

    postgres_url: PostgresDsn = PostgresDsn("postgresql://localhost")
    redis_url: RedisDsn = RedisDsn("redis://localhost")
