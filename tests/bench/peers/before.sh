# Steading as it was before a change: STEADING_BEFORE names its binary. What a change gains is measured turn by turn as
# against any other peer. See ../side-by-side.
source "$BENCH_SCRIPTS/peers/steading.sh"
name='Steading before'
binary=$STEADING_BEFORE

install() { [ -x "$STEADING_BEFORE" ]; }
goal() { :; }
