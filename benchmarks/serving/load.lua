-- Asks the questions of a file in turn. The file: how many, path, number of headers, headers, then the bodies, each
-- after its length as 4 bytes, little endian. The last line of what is printed is JSON.
local questions, turn = {}, 0

function init(arguments)
  local file = assert(io.open(arguments[1], "rb"))
  local count, path, headers = tonumber(file:read("*l")), file:read("*l"), {}
  for _ = 1, tonumber(file:read("*l")) do
    local name, value = file:read("*l"):match("^(.-): (.*)$")
    headers[name] = value
  end
  for _ = 1, count do
    local a, b, c, d = file:read(4):byte(1, 4)
    questions[#questions + 1] = wrk.format("POST", path, headers, file:read(a + b * 256 + c * 65536 + d * 16777216))
  end
  file:close()
end

function request()
  turn = turn % #questions + 1
  return questions[turn]
end

function done(summary, latency)
  local errors = summary.errors
  local failed = errors.status + errors.connect + errors.read + errors.write + errors.timeout
  io.write(string.format(
    '\n{"right": %d, "failed": %d, "seconds": %f, "latencies": {"count": %d, "p50": %f, "p90": %f, "p99": %f, "p999": %f, "max": %f}}\n',
    summary.requests - errors.status, failed, summary.duration / 1e6, summary.requests,
    latency:percentile(50) / 1e6, latency:percentile(90) / 1e6, latency:percentile(99) / 1e6,
    latency:percentile(99.9) / 1e6, latency.max / 1e6))
end
