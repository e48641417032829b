-- HTML's own elements: a figure with its title above and its caption below, a table that can be scrolled with the
-- keyboard and becomes cards on a telephone, a chapter that is folded. In print a figure floats: where it finds no room
-- it goes to the head of the next page, and the text goes on, into the next chapter too.
local MOST = 7 -- columns that a telephone shows as a table

local function is_picture(block)
  return block.t == "Para" and #block.content == 1 and block.content[1].t == "Image"
end

local function figure(div)
  local blocks = pandoc.List({ pandoc.RawBlock("html", '<figure class="figure" id="' .. div.identifier .. '">') })
  local below = false
  for _, block in ipairs(div.content) do
    if is_picture(block) then
      block.content[1].attributes["loading"] = "lazy"
      blocks:insert(block)
      blocks:insert(pandoc.RawBlock("html", "<figcaption>"))
      below = true
    else
      blocks:insert(below and block or pandoc.Div(block, { class = "message" }))
    end
  end
  blocks:extend({ pandoc.RawBlock("html", "</figcaption>"), pandoc.RawBlock("html", "</figure>") })
  return blocks
end

-- Each cell says below which head it stands, for when it stands alone.
local function labelled(tbl)
  if #tbl.colspecs <= MOST then
    return tbl, false
  end
  local heads = {}
  for _, row in ipairs(tbl.head.rows) do
    for place, cell in ipairs(row.cells) do
      heads[place] = pandoc.utils.stringify(cell.contents)
    end
  end
  for _, body in ipairs(tbl.bodies) do
    for _, row in ipairs(body.body) do
      for place, cell in ipairs(row.cells) do
        cell.attributes["data-head"] = heads[place]
      end
    end
  end
  return tbl, true
end

local function framed(div)
  div.attributes["tabindex"] = "0"
  div.attributes["role"] = "region"
  div.attributes["aria-labelledby"] = div.identifier .. "-title"
  local title = div.content[1]
  title.content = { pandoc.Span(title.content, pandoc.Attr(div.identifier .. "-title")) }
  for place, block in ipairs(div.content) do
    if block.t == "Table" then
      local tbl, wide = labelled(block)
      div.content[place] = tbl
      if wide then
        div.classes:insert("wide")
      end
    end
  end
  return div
end

local function chapter(div)
  local blocks = pandoc.List({
    pandoc.RawBlock("html", "<details>"),
    pandoc.RawBlock("html", "<summary>"),
    div.content[1],
    pandoc.RawBlock("html", "</summary>"),
  })
  blocks:extend(pandoc.List(div.content):filter(function(block) return block ~= div.content[1] end))
  blocks:insert(pandoc.RawBlock("html", "</details>"))
  return blocks
end

-- The first figure stands below, so that none comes above the title.
local place = "bottom"

local function printed(div)
  if div.classes:includes("chapter") then
    return div.content
  end
  if div.classes:includes("figure") then
    local open = pandoc.RawBlock("typst", "#place(" .. place .. ", float: true)[#set align(left)")
    place = "auto"
    return { open, div, pandoc.RawBlock("typst", "]") }
  end
  if div.classes:includes("table") then
    -- A title never stands alone at the foot of a page.
    div.content[1] = pandoc.Div(div.content[1], { ["typst:sticky"] = "true" })
    return div
  end
end

function Div(div)
  if FORMAT == "typst" then
    return printed(div)
  end
  if div.classes:includes("figure") and #div.content >= 2 then
    return figure(div)
  end
  if div.classes:includes("table") then
    return framed(div)
  end
  if div.classes:includes("chapter") then
    return chapter(div)
  end
end
