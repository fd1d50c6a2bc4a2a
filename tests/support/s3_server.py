"""A real S3 server on loopback (moto's), with one bucket and one profile that may use it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import boto3
from botocore.config import Config
from moto.server import ThreadedMotoServer

SECRETS = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}


@dataclass(frozen=True)
class S3Server:
    """The address of the server, and the content of its bucket."""

    url: str  # http://127.0.0.1:port
    bucket: str

    def object_names(self) -> set[str]:
        """Return the names of all objects."""
        pages = self._client().get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        return {item["Key"] for page in pages for item in page.get("Contents", [])}

    def make_bucket(self) -> None:
        self._client().create_bucket(Bucket=self.bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})

    def _client(self):  # typed at run time only
        without_proxy = Config(proxies={}, region_name="eu-west-1")
        return boto3.client("s3", endpoint_url=self.url, config=without_proxy, **SECRETS)


@contextmanager
def s3_server(bucket: str) -> Iterator[S3Server]:
    """Serve an empty bucket until the block ends."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        _, port = server.get_host_and_port()
        found = S3Server(f"http://127.0.0.1:{port}", bucket)
        found.make_bucket()
        yield found
    finally:
        server.stop()


def write_profile(home: Path, name: str) -> None:
    """Write the secrets of a profile to where AWS's programs look for them."""
    (home / ".aws").mkdir()
    lines = [f"[{name}]", *(f"{key} = {value}" for key, value in SECRETS.items())]
    (home / ".aws" / "credentials").write_text("\n".join(lines) + "\n")
