"""Affinity: requests of one entity fall into one bucket, and buckets belong to variants by their weights.

The entity is what a request says in the header of `spec.routing.affinity`. The bucket is stamped on the request, so
that servers count by it: an entity keeps its variant, so its requests are no independent draws, but buckets are. With
another salt every entity falls into another bucket. A request without the header gets any bucket.

Hash: FNV-1a of the salt and the value, with the last steps of MurmurHash3. Sources: Fowler, Noll, Vo; Appleby.
"""

from __future__ import annotations

from typing import Any, Final

from kingmaker.core.counts.buckets import BUCKETS

BUCKET_HEADER: Final = "kingmaker-bucket"

_METADATA: Final = "envoy.filters.http.lua"
_KEY: Final = "kingmaker"
_MOST_BYTES: Final = 1024
"""Of a header's value that are hashed."""

SCRIPT: Final = f"""
local word = 4294967296
local place = tonumber(tostring({{}}):match("%x+$"), 16) or 0
math.randomseed((os.time() + place) % 2147483647)

local function times(a, b)
  return ((math.floor(a / 65536) * b % 65536) * 65536 + (a % 65536) * b) % word
end

local function shaken(h, bits)
  return bit.bxor(h, bit.rshift(h, bits)) % word
end

local function bucket_of(text)
  local h = 2166136261
  for i = 1, #text do
    h = bit.bxor(h, text:byte(i)) % word
    h = (h * 403 + (h % 256) * 16777216) % word
  end
  h = times(shaken(h, 16), 2246822507)
  h = times(shaken(h, 13), 3266489909)
  return shaken(h, 16) % {BUCKETS}
end

local function stamp(handle, headers)
  headers:remove("{BUCKET_HEADER}")
  local affinity = handle:metadata():get("{_KEY}")
  if not affinity then
    return
  end
  local header, salt = affinity:match("^(%S+) (.*)$")
  local entity = headers:get(header)
  local bucket
  if entity and entity ~= "" then
    bucket = bucket_of(salt .. " " .. entity:sub(1, {_MOST_BYTES}))
  else
    bucket = math.random(0, {BUCKETS - 1})
  end
  headers:add("{BUCKET_HEADER}", tostring(bucket))
  handle:clearRouteCache()
end
"""
"""Defines `stamp`, which takes what a client says off, and puts the bucket on. Only routes that split by affinity have
the metadata. Their cluster is chosen again afterwards, by the bucket: the stamp, modulo the sum of the weights, which
is 100 and divides the number of buckets."""


def affinity_metadata(header: str, salt: str) -> dict[str, Any]:
    """Give the metadata of a route by which the script knows what to hash.

    Args:
        header: Names the entity, in small letters.
        salt: Entities are drawn anew with another one.
    """
    # One text: Envoy shows a table that it refuses from its beginning, and cuts it off before it says why.
    return {"filterMetadata": {_METADATA: {_KEY: f"{header} {salt}"}}}
