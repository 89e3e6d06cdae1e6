// Tables of the views with lists.

/** `columns`: {title, figure?, cell}; `cell` gives the content for an item. Columns without content are left out. */
export function Table({ caption, columns: all, items, name }) {
  const columns = all.filter((one) => items.some((item) => ![null, undefined, ""].includes(one.cell(item))));
  return (
    <div class="table" role="region" aria-label={caption} tabIndex={0}>
      <table>
        <caption>{caption}</caption>
        <thead>
          <tr>
            {columns.map((one) => (
              <th key={one.title} scope="col" class={one.figure && "figure"}>
                {one.title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {items.map((item, index) => (
            <tr key={name ? name(item) : index}>
              {columns.map((one) => (
                <td key={one.title} class={one.figure && "figure"}>
                  {one.cell(item)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
