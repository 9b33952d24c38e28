-- One field of one record, each time another.
dofile(os.getenv("BENCH_SCRIPTS") .. "/common.lua")
wrk.headers["content-type"] = "application/json"
local known

function init()
  known = ids()
end

function request()
  local path = wrk.path .. "/" .. known[math.random(#known)]
  return wrk.format("PATCH", path, nil, '{"views":' .. math.random(100000) .. "}")
end
