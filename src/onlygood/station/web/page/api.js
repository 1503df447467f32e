// The station's interface: JSON in and out, errors with their code.

/** The station refused, or could not be reached (`status` 0). */
export class ApiError extends Error {
  constructor(status, code, message, seconds = 1) {
    super(message);
    this.status = status;
    this.code = code;
    this.seconds = seconds; // after which one may ask again
  }
}

/** A path with its parameters; empty ones are left out, lists repeat. */
export function address(path, query = {}) {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== undefined && one !== null && one !== "") parameters.append(name, one);
    }
  }
  const text = parameters.toString();
  return text ? `${path}?${text}` : path;
}

async function call(method, path, { query, json, bytes, signal } = {}) {
  let answer;
  try {
    answer = await fetch(address(path, query), {
      method,
      signal,
      headers: json === undefined ? (bytes ? { "Content-Type": "application/octet-stream" } : {}) : { "Content-Type": "application/json" },
      body: json === undefined ? bytes : JSON.stringify(json),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "unreachable", "");
  }
  const text = await answer.text();
  let table = {};
  try {
    table = text ? JSON.parse(text) : {};
  } catch {
    // Not from the station itself; the status tells enough.
  }
  if (answer.ok) return table;
  if (answer.status === 401) window.dispatchEvent(new Event("login-needed"));
  const error = table.error ?? {};
  throw new ApiError(answer.status, error.code ?? "", error.message ?? `HTTP ${answer.status}`, answer.headers.get("Retry-After") ?? 1);
}

export const get = (path, query, signal) => call("GET", path, { query, signal });
export const post = (path, json = {}) => call("POST", path, { json });
export const put = (path, json) => call("PUT", path, { json });
export const putBytes = (path, bytes) => call("PUT", path, { bytes });
export const remove = (path) => call("DELETE", path);

/** Path of a recipe's part of the interface. */
export const ofRecipe = (recipe, rest = "") => `/recipes/${encodeURIComponent(recipe)}${rest}`;

/** Path of a decision's part of the interface. */
export const ofDecision = (id, rest = "") => `/decisions/${encodeURIComponent(id)}${rest}`;
