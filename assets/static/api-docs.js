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

window.ui = SwaggerUIBundle({
  dom_id: '#ui',
  url: '/openapi.json',
  validatorUrl: null,
  deepLinking: true,
  displayRequestDuration: true,
  persistAuthorization: true,
  tryItOutEnabled: true,
  filter: true,
  plugins: [findCalls],
  onComplete() {
    const field = document.querySelector('.operation-filter-input');
    if (!field) return;
    field.placeholder = 'Find a call: words of its path, its title or its chapter';
    field.setAttribute('aria-label', field.placeholder);
  },
});
