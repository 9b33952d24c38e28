// Starts Swagger UI on this server's own document. `validatorUrl: null` keeps it from asking another host.
window.ui = SwaggerUIBundle({
  dom_id: '#ui',
  url: '/openapi.json',
  validatorUrl: null,
  deepLinking: true,
  displayRequestDuration: true,
  persistAuthorization: true,
  tryItOutEnabled: true,
});
