-- One record, each time another.
dofile(os.getenv("BENCH_SCRIPTS") .. "/common.lua")
local made

function init()
  made = requests_for_ids()
end

function request()
  return made[math.random(#made)]
end
