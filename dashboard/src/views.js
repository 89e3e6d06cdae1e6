// The views of the page, by their name in the URL, in the order of the navigation.

import { Certificates } from "./certificates.jsx";
import { Explain } from "./explain.jsx";
import { Problems } from "./problems.jsx";
import { Refusals } from "./refusals.jsx";
import { Topology } from "./topology.jsx";
import { Workers } from "./workers.jsx";

export const VIEWS = {
  topology: { title: "Topology", View: Topology },
  problems: { title: "Problems", View: Problems },
  refused: { title: "Refused references", View: Refusals },
  explain: { title: "Explain", View: Explain },
  certificates: { title: "Certificates", View: Certificates },
  workers: { title: "Workers", View: Workers },
};
