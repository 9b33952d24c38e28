-- What the scripts for wrk share: who asks, which records, and one line of result.
local token = os.getenv("BENCH_TOKEN")
if token and token ~= "" then
  wrk.headers["authorization"] = "Bearer " .. token
end
math.randomseed(7)

-- Ready-made requests, one for each id in the file, so that the client costs as little as it can.
function requests_for_ids()
  local made = {}
  for id in io.lines(os.getenv("BENCH_IDS")) do
    made[#made + 1] = wrk.format("GET", wrk.path .. "/" .. id)
  end
  return made
end

function ids()
  local found = {}
  for id in io.lines(os.getenv("BENCH_IDS")) do
    found[#found + 1] = id
  end
  return found
end

-- requests, microseconds, p99 in microseconds, errors, bytes
function done(summary, latency)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d %d %d\n", summary.requests, summary.duration, latency:percentile(99),
    e.connect + e.read + e.write + e.status + e.timeout, summary.bytes))
end
