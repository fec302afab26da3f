// Talking to the console's JSON interface. The token, where one is needed, lives for the tab only.

const TOKEN = "prescale.token";
const PATIENCE_MS = 15_000;
/** What is made from the log takes longer. */
const TEXT_PATIENCE_MS = 120_000;
const readJson = (response) => response.json();
let token = null;
try {
  token = sessionStorage.getItem(TOKEN);
} catch {
  token = null;
}

export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export function useToken(text) {
  token = text;
  try {
    sessionStorage.setItem(TOKEN, text);
  } catch {
    // Without storage the token lasts as long as the page.
  }
}

/** The JSON at `path`, or `null` when the server says that nothing changed. */
export const get = (path) => ask(path, {});

/** The text at `path`. */
export const getText = (path) => ask(path, {}, (response) => response.text(), TEXT_PATIENCE_MS);

/** Sends `body` to `path` and gives the answer. */
export const post = (path, body) => ask(path, { method: "POST", body: JSON.stringify(body) });

async function ask(path, request, read = readJson, patience_ms = PATIENCE_MS) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  if (request.body) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, { ...request, headers, cache: "no-store", signal: AbortSignal.timeout(patience_ms) });
  } catch (error) {
    throw new ApiError(0, `the console does not answer (${error.message})`);
  }
  if (response.status === 204) return null;
  let body = null;
  try {
    body = await (response.ok ? read : readJson)(response);
  } catch {
    body = null;
  }
  if (!response.ok) throw new ApiError(response.status, body?.error ?? `the console answered ${response.status}`);
  return body;
}
