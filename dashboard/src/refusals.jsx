// References that no ReferenceGrant allows, with the grants that would allow them.

import { plural } from "./format.js";
import { useLive } from "./live.js";
import { Empty, Refused } from "./parts.jsx";
import { link } from "./place.js";

export function Refusals() {
  const { status } = useLive();
  if (!status) return null;
  if (!status.refused_references)
    return <Empty>Every reference to another namespace is allowed by a ReferenceGrant.</Empty>;
  return (
    <div class="view">
      <p>
        These references lead to another namespace, and no ReferenceGrant that fastroute can read allows them. Requests
        for a refused backend are answered with 500.
        {status.refused.some((one) => one.fix) &&
          " If a grant is shown, the owner of the other namespace decides, and applies it."}
      </p>
      {status.refused_references > status.refused.length && (
        <p>
          The first {status.refused.length} of {plural(status.refused_references, "reference")} are here.{" "}
          <a href={link("problems", [["type", "refused"]])}>All of them</a>
        </p>
      )}
      {status.refused.map((one) => (
        <Refused key={`${one.kind} ${one.object} ${one.field}`} one={one} heading="h2" />
      ))}
    </div>
  );
}
