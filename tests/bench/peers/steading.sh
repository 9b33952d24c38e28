# Steading with its default settings, from this repository. See ../side-by-side.
name='Steading'
binary=${STEADING_BINARY:-$tools/steading}
ready_path=/health/ready

install() {
  [ -z "${STEADING_BINARY:-}" ] || return 0
  (cd "$root" && cargo build --release --locked --quiet)
  # A name that is found without asking rustc, which would count as time to start.
  ln -sf "$root/target/$(rustc --print host-tuple)/release/steading" "$binary"
}

serve() { exec "$binary" --data "$folder/data" serve --listen "127.0.0.1:$port"; }

make_admin() { "$binary" --data "$folder/data" admin create --email "$admin" --password "$password" >/dev/null; }

admin_token() { user_token "$admin"; }

make_user() { # email -> id
  call POST /api/v1/auth/register '' "{\"email\": \"$1\", \"password\": \"$password\"}" >/dev/null
  call GET /api/v1/auth/profile "$(user_token "$1")" | member id
}

user_token() { # email
  call POST /api/v1/auth/login '' "{\"email\": \"$1\", \"password\": \"$password\"}" | member accessToken
}

make_collection() { # name, who may view: everyone or owner
  local view=true
  [ "$2" = everyone ] || view='owner == auth.id'
  call POST /api/v1/collections "$(admin_token)" '{
    "name": "'"$1"'",
    "fields": [
      {"name": "title", "type": "text", "required": true, "max": 200},
      {"name": "body", "type": "text", "max": 2000},
      {"name": "views", "type": "integer"},
      {"name": "score", "type": "number"},
      {"name": "published", "type": "bool"},
      {"name": "state", "type": "select", "values": ["draft", "live"]},
      {"name": "owner", "type": "relation", "collection": "users"}
    ],
    "indexes": [{"fields": ["state", "views"]}],
    "rules": {"list": "true", "view": "'"$view"'", "create": "true", "update": "true", "delete": null}
  }' >/dev/null
}

make_chain() { # shelves, books on them, notes in these
  local name up rules='"rules": {"list": "true", "view": "true"}' fields='{"name": "title", "type": "text"}, {"name": "mark", "type": "integer"}'
  for name in shelves:- books:shelves notes:books; do
    up=${name#*:}
    [ "$up" = - ] && up='' || up=", {\"name\": \"up\", \"type\": \"relation\", \"collection\": \"$up\"}"
    call POST /api/v1/collections "$(admin_token)" "{\"name\": \"${name%:*}\", \"fields\": [$fields$up], $rules}" >/dev/null || return 1
  done
}
chain_id() { printf '01900000-0000-7000-8000-%012d\n' "$1"; }
hops_query() { echo "limit=30&filter=up.up.title%20%3D%3D%20'shelf%207'"; }
back_query() { echo 'limit=30&filter=books_via_up.exists(b,b.notes_via_up.exists(n,n.mark%3D%3D7))'; }

make_dictionary() { call POST /api/v1/collections "$(admin_token)" "@$root/packaging/examples/dictionary/collection.json" >/dev/null; }

# Words are found by the index that a collection has for its searched fields.
make_searchable() {
  call PATCH /api/v1/collections/dictionary "$(admin_token)" '{"search": {"lemma": 4, "definition": 1}}' >/dev/null
}
search_query() { echo "limit=30&search=$1"; } # word

pack() { admin_token >"$folder/token"; } # the rows are sent as they are

import() { # collection, NDJSON -> nothing if all went well
  local status
  status=$(curl --silent --request POST --upload-file "$2" --output "$folder/imported" --write-out '%{http_code}' \
    --header "authorization: Bearer $(cat "$folder/token")" --header 'content-type: application/x-ndjson' \
    "$url/api/v1/collections/$1/records/import") || status="curl ended with $?"
  case $status in 2??) ;; *) echo "$name: import: $status $(head -c 300 "$folder/imported")" >&2; return 1 ;; esac
}

records_path() { echo "/api/v1/collections/$1/records"; }
page_query() { echo 'limit=30'; }
total_query() { echo 'count=exact'; }
filter_query() { echo 'where%5Bstate%5D=live&sort=-views'; }

word_query() { echo 'where%5Blemma%5D=light'; }
nouns_query() { echo "where%5Bpos%5D=noun"; }
verbs_query() { echo 'where%5Bpos%5D=verb&sort=lemma'; }
animals_query() { echo 'where%5Bpos%5D=noun&where%5Btopic%5D=animal&sort=-uses'; }

far_query() { # collection: what leads to its page 1,000, which comes after 29,970 records
  local next='' limit
  for limit in $(printf '500 %.0s' {1..59}) 470; do
    next=$(call GET "/api/v1/collections/$1/records?fields=id&limit=$limit${next:+&cursor=$next}" '' | member nextCursor)
    [ -n "$next" ] || return 1
  done
  echo "limit=30&cursor=$next"
}

ids() { # collection
  local cursor='' answer
  while :; do
    answer=$(call GET "/api/v1/collections/$1/records?fields=id&limit=500$cursor" '')
    grep -o '"id":"[^"]*"' <<<"$answer" | cut -d'"' -f4
    [[ $answer == *'"nextCursor":'* ]] || break # the last page
    cursor="&cursor=$(member nextCursor <<<"$answer")"
  done
}

count() { call GET "/api/v1/collections/$1/records?limit=1&count=exact" '' | member total; } # collection
