/** Rows of the tables of a Markdown file, cell by cell, without the marks of code. */
export function tableRows(markdown: string): string[][] {
  return markdown.split('\n')
    .filter((line) => line.startsWith('|') && !/^\|[\s|:-]+\|$/.test(line))
    .map((line) => line.slice(1, line.lastIndexOf('|')).split('|').map((cell) => cell.trim().replaceAll('`', '')))
}
