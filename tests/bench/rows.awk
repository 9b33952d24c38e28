# Rows of the collection that is measured, as NDJSON: the same for everyone but the ids of the two owners.
#   awk -v first=1 -v count=1000 -v owners='id1 id2' -f rows.awk
BEGIN {
  words = "amber anchor autumn barley beacon brook candle cedar clover copper cradle dawn drift ember fallow fern "
  words = words "furrow garden granite harbor hazel heron hollow ivory juniper kettle lantern linen maple meadow "
  words = words "mill moss orchard pebble quarry reed river saddle sparrow spruce stable thistle timber valley willow"
  word_count = split(words, word, " ")
  split(owners, owner, " ")
  for (n = first; n < first + count; n++) {
    seed = n * 7919 % 1000003
    text = ""
    for (i = 0; i < 30; i++) {
      seed = (seed * 69069 + 12345) % 1000003
      text = text (i ? " " : "") word[seed % word_count + 1]
    }
    printf "{\"title\":\"Entry %07d %s\",\"body\":\"%s\",\"views\":%d,\"score\":%.2f,\"published\":%s,\"state\":\"%s\",\"owner\":\"%s\"}\n", \
      n, word[n % word_count + 1], text, n * 7919 % 100003, n % 1000 / 100, n % 3 ? "true" : "false", \
      n % 4 ? "live" : "draft", owner[n % 2 + 1]
  }
}
