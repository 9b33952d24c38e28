-- The same page again and again.
dofile(os.getenv("BENCH_SCRIPTS") .. "/common.lua")
