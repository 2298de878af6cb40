"""The clients that are compared, each speaking its own wire; a file for each."""

from __future__ import annotations

from benchmarks.peers import bare, comfy, fal, luma, openai, ours, replicate, runway

PEERS = (ours.PEER, openai.PEER, runway.PEER, fal.PEER, luma.PEER, replicate.PEER, comfy.PEER, bare.PEER)
