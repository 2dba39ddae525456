// danfojs-node points to a spreadsheet library outside the package registry; this project reads no spreadsheets.
const refuse = (name) => () => {
  throw new Error(
    `xlsx.${name}: spreadsheets are left out of this workspace (environment.md). Save the sheet as CSV and use readCSV.`,
  )
}
module.exports = {
  read: refuse('read'),
  readFile: refuse('readFile'),
  writeFile: refuse('writeFile'),
  utils: {
    sheet_to_csv: refuse('utils.sheet_to_csv'),
    json_to_sheet: refuse('utils.json_to_sheet'),
    book_new: refuse('utils.book_new'),
    book_append_sheet: refuse('utils.book_append_sheet'),
  },
}
