// Starts Swagger UI on this server's own document. `validatorUrl: null` keeps it from asking another host.

// Swagger UI would look for chapters only, and for capitals as they are typed.
const findCalls = () => ({
  fn: {
    opsFilter(chapters, phrase) {
      const words = phrase.toLowerCase().split(/\s+/).filter(Boolean);
      return chapters
        .map((chapter, name) => chapter.update('operations', (calls) => calls.filter((call) => {
          const { summary, operationId } = call.get('operation').toJS();
          const text = [name, call.get('method'), call.get('path'), summary, operationId].join(' ').toLowerCase();
          return words.every((it) => text.includes(it));
        })))
        .filter((chapter) => chapter.get('operations').size > 0);
    },
  },
});

// Whoever is signed in sees collections too that strangers do not know of: the document is fetched with the token, and
// again when it changes.
const heldToken = () => {
  try {
    return JSON.parse(localStorage.getItem('authorized')).bearer.value;
  } catch {
    return null;
  }
};

const fetchAnew = (act, system) => (payload) => {
  const done = act(payload);
  system.specActions.download();
  return done;
};

const seeWhatIsMine = () => ({
  statePlugins: {
    auth: {
      wrapActions: { authorizeWithPersistOption: fetchAnew, logoutWithPersistOption: fetchAnew },
    },
  },
});

window.ui = SwaggerUIBundle({
  dom_id: '#ui',
  url: '/openapi.json',
  validatorUrl: null,
  deepLinking: true,
  displayRequestDuration: true,
  persistAuthorization: true,
  tryItOutEnabled: true,
  filter: true,
  plugins: [findCalls, seeWhatIsMine],
  requestInterceptor(request) {
    const token = request.loadSpec && heldToken();
    if (token) request.headers.Authorization = `Bearer ${token}`;
    return request;
  },
  onComplete() {
    const field = document.querySelector('.operation-filter-input');
    if (!field) return;
    field.placeholder = 'Find a call: words of its path, its title or its chapter';
    field.setAttribute('aria-label', field.placeholder);
  },
});
