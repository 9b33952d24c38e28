-- A new record each time, as long as those of `rows.awk`.
dofile(os.getenv("BENCH_SCRIPTS") .. "/common.lua")
wrk.headers["content-type"] = "application/json"
local text = string.rep("willow brook amber ", 11)
local owner = os.getenv("BENCH_OWNER")
local n = 0

function request()
  n = n + 1
  local body = string.format(
    '{"title":"New %07d meadow","body":"%s","views":%d,"score":%.2f,"published":true,"state":"live","owner":"%s"}',
    n, text, n % 100003, n % 1000 / 100, owner)
  return wrk.format("POST", nil, nil, body)
end
