// Questions to the admin API, one after another: the gateway makes one answer at a time, and a page that asks in
// parallel would only take connections from others.

const ROOT = "api/v1/";
const PATIENCE = 30_000; // milliseconds for one answer
const BUSY = 1_000; // milliseconds before a question is repeated that the gateway had no time for

export class Refusal extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

let last = Promise.resolve();

/**
 * `parameters`: a list of names and values; empty values are left out.
 * Rejects with a Refusal, or with another error if nothing answers.
 */
export function ask(resource, parameters = []) {
  const query = new URLSearchParams(parameters.filter(([, value]) => value !== "" && value != null)).toString();
  const url = ROOT + resource + (query && `?${query}`);
  const answer = last.then(() => fetched(url));
  last = answer.catch(() => {});
  return answer;
}

async function fetched(url) {
  for (let tries = 3; ; tries -= 1) {
    const answer = await fetch(url, { signal: AbortSignal.timeout(PATIENCE) });
    const body = await answer.json();
    if (answer.ok) return body;
    if (answer.status !== 503 || tries === 1) throw new Refusal(answer.status, body.error);
    await new Promise((resume) => setTimeout(resume, BUSY));
  }
}
