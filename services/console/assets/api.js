// Talking to the console's JSON interface. The token, where one is needed, lives for the tab only.

const TOKEN = "prescale.token";
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
export async function get(path) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  let response;
  try {
    response = await fetch(path, { headers, cache: "no-store", signal: AbortSignal.timeout(15000) });
  } catch (error) {
    throw new ApiError(0, `the console does not answer (${error.message})`);
  }
  if (response.status === 204) return null;
  let body = null;
  try {
    body = await response.json();
  } catch {
    body = null;
  }
  if (!response.ok) throw new ApiError(response.status, body?.error ?? `the console answered ${response.status}`);
  return body;
}
