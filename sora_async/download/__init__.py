"""From the link of a result to a whole file, or to nothing."""

from sora_async.download.destination import Destination
from sora_async.download.downloader import Downloader, OnRetry
from sora_async.download.policy import DownloadPolicy
from sora_async.download.transfer import OnProgress

__all__ = ["Destination", "DownloadPolicy", "Downloader", "OnProgress", "OnRetry"]
